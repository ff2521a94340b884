"""What remains of a call, as rows: made of its journal, while it is written or at any later time."""
