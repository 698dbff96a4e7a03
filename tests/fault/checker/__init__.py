"""The coherence checker: writers and readers whose histories are recorded while servers fail, and judged after."""
