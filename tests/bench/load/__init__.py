"""What much of everything costs: pictures, models, builds, lines, gigabytes, devices."""
