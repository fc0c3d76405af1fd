"""What hubgw costs at scale, beside what the plain tools cost for the same objects in the same run."""
