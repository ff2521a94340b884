"""Who may call, dial, read and administer, and how much: keys, tokens, origins and limits."""
