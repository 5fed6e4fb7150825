"""The routing controller's plan, its forecasts, and questions to it."""
