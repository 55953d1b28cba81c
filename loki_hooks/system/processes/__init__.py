"""Child processes: started, supervised, ended."""
