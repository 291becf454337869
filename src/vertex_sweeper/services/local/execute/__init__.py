"""How a trial runs on this machine: its environment, its flags, its processes and their end. It knows `study` alone."""
