"""Emulated: names of the vendor's compiler that public programs import."""
