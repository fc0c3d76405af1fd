"""What builds and boots the lab: package lists become a root file system, images and a VM. Standard library alone."""
