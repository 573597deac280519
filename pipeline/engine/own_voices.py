"""The brand voices as pages and the command line use them: from any thread, each call with a time limit.

Every method takes the owner; a foreign id looks exactly like a missing one.
"""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.engine.own_documents import Call
from pipeline.store.voices import Preset, Voices
from pipeline.voice import NAME_MAX_CHARS, Voice


@dataclass(frozen=True, slots=True)
class OwnVoices:
    """Raises `StoreError` where the database cannot be used."""

    _voices: Voices
    _call: Call

    def listed(self, owner: str) -> list[Preset]:
        """By name."""
        return self._call(self._voices.listed(owner))

    def get(self, owner: str, voice_id: str) -> Preset | None:
        return self._call(self._voices.get(owner, voice_id))

    def named(self, owner: str, name: str) -> Preset | None:
        return self._call(self._voices.named(owner, name))

    def add(self, owner: str, voice: Voice) -> Preset:
        """Raises `SpecError` when the name is taken or there are too many."""
        return self._call(self._voices.add(owner, voice))

    def change(self, owner: str, voice_id: str, voice: Voice) -> bool:
        """False when it is missing. Raises `SpecError` when the name is taken."""
        return self._call(self._voices.change(owner, voice_id, voice))

    def delete(self, owner: str, voice_id: str) -> bool:
        """False when it is missing."""
        return self._call(self._voices.delete(owner, voice_id))

    def duplicate(self, owner: str, voice_id: str) -> Preset | None:
        """A copy under the next free name; None when it is missing."""
        preset = self.get(owner, voice_id)
        if preset is None:
            return None
        taken = {other.voice.name for other in self.listed(owner)}
        name = next(name for name in _copies(preset.voice.name) if name not in taken)
        return self.add(owner, preset.voice.model_copy(update={"name": name}))


def _copies(name: str) -> list[str]:
    endings = [" (copy)", *(f" (copy {n})" for n in range(2, 200))]
    return [name[: NAME_MAX_CHARS - len(ending)] + ending for ending in endings]
