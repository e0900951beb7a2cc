"""The commands of `orderfold`."""
