"""Judges of a face model; `experiments/judge_face_model.py` runs them."""
