"""``hef doctor``: facts of this machine, its engine and a device, and what they tell."""
