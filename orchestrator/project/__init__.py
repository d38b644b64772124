"""What the user states: recipes, the project file, the lock. Touches files only."""
