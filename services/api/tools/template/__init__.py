"""For projects made from the template: leave parts out, and take its later versions."""
