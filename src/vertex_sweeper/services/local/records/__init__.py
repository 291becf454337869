"""What a local job leaves on disk so that another process can see it or go on with it, and who holds the lock."""
