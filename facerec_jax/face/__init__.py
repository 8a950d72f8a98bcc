"""What a face is: its code, the morphable model, the 68 landmarks."""
