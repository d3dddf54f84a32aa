"""Traces by OpenTelemetry: on where ``OTEL_EXPORTER_OTLP_ENDPOINT`` is set, otherwise nothing of it is loaded."""
