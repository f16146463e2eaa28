"""What model.py would import."""
