"""Tell Home Assistant by MQTT what is seen (apt: python3-paho-mqtt).

Home Assistant finds the device by itself (MQTT discovery). ``hefsmith/NAME/state`` holds what was
seen last, as JSON; ``hefsmith/NAME/online`` says whether the program runs, also when it died.
"""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any, Optional
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from hailo_answers import State

#: Seconds between two messages at least: a home needs no thirty a second.
SECONDS = 1.0


class Broker:
    """A connection to an MQTT broker that comes back by itself."""

    def __init__(self, url: str, name: str, labels: list[str], task: str) -> None:
        import paho.mqtt.client as mqtt

        address = urlsplit(url)
        if address.scheme not in ("mqtt", "mqtts") or not address.hostname:
            msg = "--mqtt: write mqtt://USER@HOST:1883 (mqtts:// for TLS)"
            raise ValueError(msg)
        self._topic = "hefsmith/%s" % name
        self._sent = 0.0
        self._state: Optional[State] = None
        versions = getattr(mqtt, "CallbackAPIVersion", None)
        first = () if versions is None else (versions.VERSION2,)
        self._client = mqtt.Client(*first, client_id="hefsmith-%s" % name)
        if address.username:
            # The password may come from the environment, where no process list shows it.
            password = address.password or os.environ.get("MQTT_PASSWORD")
            self._client.username_pw_set(
                unquote(address.username), unquote(password) if password else None
            )
        if address.scheme == "mqtts":
            self._client.tls_set()
        self._client.will_set(self._topic + "/online", "offline", retain=True)
        self._messages = discovery(name, self._topic, labels, task)
        self._client.on_connect = self._announce
        self._client.connect_async(
            address.hostname, address.port or (8883 if address.scheme == "mqtts" else 1883)
        )
        self._client.loop_start()

    def _announce(self, client: Any, *_: Any) -> None:
        """Tell who we are at every connection: the broker may have been started anew."""
        for topic, message in self._messages.items():
            client.publish(topic, json.dumps(message), retain=True)
        client.publish(self._topic + "/online", "online", retain=True)

    def tell(self, state: State) -> None:
        """Send what is seen, at most once a second, and at once when it is something else."""
        now = time.monotonic()
        old, self._state = self._state, state
        same = old is not None and old["seen"] == state["seen"]
        if now - self._sent >= SECONDS or not same:
            self._sent = now
            self._client.publish(self._topic + "/state", json.dumps(state))

    def close(self) -> None:
        """Say that we are off, and go."""
        self._client.publish(self._topic + "/online", "offline", retain=True).wait_for_publish(2)
        self._client.loop_stop()
        self._client.disconnect()


def discovery(name: str, topic: str, labels: list[str], task: str) -> dict[str, dict[str, object]]:
    """Return the messages by which Home Assistant finds us, by topic."""
    device = {"identifiers": ["hefsmith_" + name], "name": name, "manufacturer": "hefsmith"}
    common = {
        "state_topic": topic + "/state",
        "availability_topic": topic + "/online",
        "device": device,
    }
    messages: dict[str, dict[str, object]] = {}

    def add(kind: str, key: str, title: str, template: str, **more: Any) -> None:
        messages["homeassistant/%s/hefsmith_%s/%s/config" % (kind, name, key)] = {
            **common,
            "name": title,
            "unique_id": "hefsmith_%s_%s" % (name, key),
            "value_template": template,
            **more,
        }

    if task == "classification":
        add("sensor", "class", "Class", "{{ value_json.best }}")
        add("sensor", "sure", "Sure", "{{ value_json.sure }}", unit_of_measurement="%")
    else:
        add("sensor", "count", "Objects", "{{ value_json.count }}")
        for number, label in enumerate(labels):
            # By number: a label may have anything in it that a template would run.
            template = "{{ 'ON' if value_json.numbers.get('%d', 0) else 'OFF' }}" % number
            add("binary_sensor", "class%d" % number, label, template)
    add("sensor", "rate", "Pictures a second", "{{ value_json.rate }}")
    return messages
