"""How property tests run: an example may take as long as a busy machine needs."""

from hypothesis import settings

settings.register_profile("hubgw", deadline=None, max_examples=40)
settings.load_profile("hubgw")
