"""What users of other voice-agent servers suffered: each a test that is named after its number.

The numbers are those of `docs/regressions.md`, which says where it was reported. Tests of whole calls run in
virtual time; those of the machines alone put their facts in every order.
"""
