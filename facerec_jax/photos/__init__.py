"""Real images: reading, detection, alignment, masking.

Photographs are [H, W, 3] uint8 sRGB arrays, faces in them `detection.Face`.
Positions are (column, row) in pixels of the upright photograph with pixel
centres at +0.5, as everywhere in the package; OpenCV and dlib, which put them
at integers, are converted where they are called.
"""
