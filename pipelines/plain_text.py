"""Text from outside on one harmless line: for logs, terminals and the run log. Pure."""


def plain(text: str) -> str:
    """Control characters, line breaks, and what steers a terminal or turns writing around, become spaces."""
    return "".join(char if char.isprintable() else " " for char in text)
