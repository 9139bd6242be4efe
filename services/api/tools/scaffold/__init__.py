"""The scaffolder: writes resources of your own, and takes them back."""
