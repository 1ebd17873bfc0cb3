"""The conformance kit, on the template. Run `pytest` in the directory above."""

from template_backend.mux import TemplateMultiplexer

from harness.conformance import MultiplexerConformance


class TestTemplate(MultiplexerConformance):
    """Every check, each a test of its own."""

    multiplexer = TemplateMultiplexer
