"""The bundled dashboard: what is isolated, what needs attention, how fast the response is.

It reads the published snapshot and nothing else, on loopback, and asks no other host for anything. What the
snapshot holds is hostile text: nothing of it is ever interpreted as HTML, Markdown, SQL or a formula.
"""
