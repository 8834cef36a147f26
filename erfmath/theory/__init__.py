"""Theory: receptive fields computed from the network's description alone, without sampling."""

__all__: list[str] = []
