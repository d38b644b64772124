"""What lines say: folded text, systems in other languages, wordings of Hailo's tools."""
