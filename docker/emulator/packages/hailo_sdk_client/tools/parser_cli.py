"""Emulated: the parser behind ``hailo parser``, as the Model Zoo drives it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hailo_emulator import log

if TYPE_CHECKING:
    import argparse

    from hailo_sdk_client.runner.client_runner import ClientRunner


class NetParser:
    """Translates what its arguments name with ``runner``, which the caller sets or gets new."""

    def __init__(self, parser: argparse.ArgumentParser | None = None) -> None:
        self.parser = parser
        self.runner: ClientRunner | None = None

    def run(self, args: argparse.Namespace, save_model: bool = True) -> ClientRunner:
        """Translate ``args.model_path``; with ``args.y`` a proposal of end nodes is taken.

        Returns the runner: the zoo's v2.14 goes on with that, v2.18 with the one that it set.
        """
        from hailo_sdk_client.model_translator.exceptions import (
            ParsingWithRecommendationException,
        )
        from hailo_sdk_client.runner.client_runner import ClientRunner

        runner = self.runner or ClientRunner(hw_arch=getattr(args, "hw_arch", None))
        self.runner = runner
        ends = _names(getattr(args, "end_node_names", None))
        try:
            self._translate(runner, args, ends)
        except ParsingWithRecommendationException as error:
            proposed = list(getattr(error, "recommended_end_nodes", ()))
            if not getattr(args, "y", False) or not proposed:
                raise
            log.info(
                f"According to recommendations, retrying parsing with end node names: {proposed}."
            )
            self._translate(runner, args, proposed)
        if save_model:
            runner.save_har(getattr(args, "har_path", None) or f"{args.net_name}.har")
        return runner

    @staticmethod
    def _translate(runner: ClientRunner, args: argparse.Namespace, ends: Any) -> None:
        starts = _names(getattr(args, "start_node_names", None))
        shapes = getattr(args, "tensor_shapes", None)
        if str(args.model_path).endswith(".tflite"):
            runner.translate_tf_model(
                args.model_path,
                args.net_name,
                start_node_names=starts,
                end_node_names=ends,
                tensor_shapes=shapes,
            )
            return
        runner.translate_onnx_model(
            args.model_path,
            args.net_name,
            start_node_names=starts,
            end_node_names=ends,
            net_input_shapes=shapes,
        )


def _names(given: Any) -> list[str] | None:
    """Return names as a list: the Model Zoo's settings hold one name alone, or a list of theirs."""
    if given is None:
        return None
    return [given] if isinstance(given, str) else [str(name) for name in given]
