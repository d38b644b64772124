"""The trap of the vendor's allocator: compiling reads USER without a default, late."""

import os
import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import PathFinder

NAME = "hailo_sdk_client"


class _Loader(Loader):
    def __init__(self, real):
        self.real = real

    def create_module(self, spec):
        return self.real.create_module(spec)

    def exec_module(self, module):
        self.real.exec_module(module)
        compile_ = module.ClientRunner.compile

        def compile_as_user(self, *args, **kwargs):
            os.environ["USER"]
            return compile_(self, *args, **kwargs)

        module.ClientRunner.compile = compile_as_user


class _Finder(MetaPathFinder):
    def find_spec(self, fullname, path=None, target=None):
        if fullname != NAME:
            return None
        spec = PathFinder.find_spec(fullname, path)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)
        return spec


sys.meta_path.insert(0, _Finder())
