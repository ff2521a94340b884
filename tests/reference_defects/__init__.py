"""Known defects of the reference: each one about providers has a test that is named after its number.

The numbers are those of section 11 of the reference sheet, which says what was wrong and what it teaches.
"""
