"""Commands of `hef`: options in, one call, result out."""
