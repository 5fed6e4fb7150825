"""Planning a link: source, fibres, detectors, protocol, check."""
