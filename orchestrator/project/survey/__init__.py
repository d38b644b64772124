"""What a folder shows before there is a recipe: networks, pictures, code. Files only; runs none."""
