"""The scaffolder: resources of your own, written and taken back by a command. Not part of the image."""
