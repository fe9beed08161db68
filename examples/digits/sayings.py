"""How train.py and query.py say what happens: a line for people, or a JSON object for demo.py."""

import json


def say(program: str, event: str, figures: dict[str, float], as_json: bool) -> None:
    """Print one line at once: what happened, and its figures."""
    if as_json:
        text = json.dumps({"event": event, **figures})
    else:
        shown = (
            f"{key} {value:.4f}" if isinstance(value, float) else f"{key} {value}" for key, value in figures.items()
        )
        text = f"{program}: {event}: {', '.join(shown)}"
    print(text, flush=True)
