"""Adapting a trained encoder to photographs that nobody has labelled.

After InverseFaceNet (Kim et al. 2018): the encoder reads codes from the
photographs, faces of such codes are rendered, and it learns from these, round
after round. The second stage learns from the photographs themselves.
"""
