"""What a perfect client must see of a script, and the verdict on what a real client saw."""
