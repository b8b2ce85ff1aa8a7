"""One module for each workload: what each subject does, how much of it, and the target."""
