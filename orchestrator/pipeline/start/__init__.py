"""From a folder to a first recipe: what `hef init` looks at, asks and writes."""
