"""Feast's Redis online store: a hash for each entity, with a field for each feature and one for each view's time.

Commands are packed by hand and sent in batches of thousands; while the server executes one, the next is packed.
"""

import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import chain, repeat
from typing import Any

from gemel.errors import BridgeError
from gemel.online.config import RedisStore
from gemel.online.encoding import (
    Before,
    decode_moment,
    decode_time,
    decode_value,
    encode_moments,
    encode_values,
    key_prefix,
    split_key,
)
from gemel.online.newest import Batch, Newest, OnlineView
from gemel.online.store import Found, Progress, State, States, StoredRow, Wanted

SCANNED = 5_000  # keys per answer
RECEIVED = 1 << 18  # bytes


class Redis:
    """A Redis server. Raises BridgeError: G531 without the client's package, G562 for the server."""

    sort = False

    def __init__(self, store: RedisStore) -> None:
        self.store = store
        self.why_unlisted = None if store.scan else "the Redis store has `full_scan_for_deletion: false`"
        self._project = store.project.encode()
        self._states_key = b"gemel:" + self._project + b":materialized"
        self._states = States()
        self._wire: Any = None
        self._reader: Any = None

    def state(self, view: str) -> State:
        return State.parse(self._ask([(b"HGET", self._states_key, view.encode())])[0])

    def write(self, view: OnlineView, rows: Newest, *, until: int, progress: Progress) -> None:
        before = self.state(view.name).for_origin(view.origin)
        begun = before.begin(rows, view.origin)
        # Saved before anything is written: after a kill, the next run then knows which rows are ours.
        self._keep(view.name, begun)
        wanted: set[bytes] = set()
        waiting = done = 0
        with self._translate_errors():
            for batch in rows.batches:
                keys = [key + self._project for key in batch.keys]
                if self.store.scan:
                    wanted.update(keys)
                self._ask_moments(view.name, keys)
                # Packed while the server executes the previous commands.
                writes = _writes(view, batch, keys, self.store.key_ttl)
                late = self._newer(len(keys), begun.last, waiting)
                if late:
                    writes = [each for index, each in enumerate(writes) if index not in late]
                self._send(writes)
                waiting = len(writes) * (2 if self.store.key_ttl else 1)
                done += len(keys)
                progress(done)
            self._receive(waiting)
        if self.store.scan:
            self._remove(view, wanted, begun.last)
        self._keep(view.name, before.finish(rows, view.origin, until))

    def read(self, wanted: Sequence[Wanted]) -> list[Found]:
        commands: list[Sequence[bytes]] = [(b"HGET", self._states_key, each.view.encode()) for each in wanted]
        for each in wanted:
            fields = (*(field_name(each.view, name) for name in each.features), _time_field(each.view))
            commands += [(b"HMGET", key + self._project, *fields) for key in each.keys]
        answers = iter(self._ask_again(commands))
        states = [self._states.parse(each.view, next(answers)) for each in wanted]
        return [
            (state, [_row(each.features, next(answers)) for _ in each.keys])
            for each, state in zip(wanted, states, strict=True)
        ]

    def is_current(self) -> bool:
        return True

    def _ask_again(self, commands: Sequence[Sequence[bytes]]) -> list[Any]:
        """Ask; and once more, if the server has closed the connection since it was last used."""
        is_used = self._wire is not None
        try:
            return self._ask(commands)
        except BridgeError:
            if not is_used:
                raise
            return self._ask(commands)

    def keys(self, view: OnlineView) -> Iterator[list[bytes]]:
        field, end = _time_field(view.name), len(self._project)
        for keys in self._scan(view):
            moments = self._ask([(b"HGET", key, field) for key in keys])
            yield [key[: len(key) - end] for key, moment in zip(keys, moments, strict=True) if moment is not None]

    def close(self) -> None:
        if self._wire is not None:
            self._wire.disconnect()
            self._wire = None

    def _keep(self, view: str, state: State) -> None:
        self._ask([(b"HSET", self._states_key, view.encode(), state.text().encode())])

    def _ask_moments(self, view: str, keys: Sequence[bytes]) -> None:
        """Send an HGET of the view's time for each key. Their common parts are packed once."""
        word = b"\r\n" + _bulk(_time_field(view))
        pieces = zip(repeat(b"*3\r\n$4\r\nHGET\r\n"), *_with_lengths(keys), repeat(word), strict=False)
        self._send(chain.from_iterable(pieces))

    def _newer(self, count: int, last: int | None, waiting: int) -> set[int]:
        """The indexes of keys whose rows are newer than all of ours. Also receives the answers to earlier commands."""
        self._receive(waiting)
        moments = self._receive(count)
        kept = {moment: decode_moment(moment) for moment in set(moments) if moment is not None}
        late = {moment for moment, at in kept.items() if last is not None and at > last}
        return {index for index, moment in enumerate(moments) if moment in late} if late else set()

    def _remove(self, view: OnlineView, wanted: set[bytes], last: int | None) -> None:
        """Remove entities that the feature table no longer has, which a scan of the keys finds."""
        field, ours = _time_field(view.name), [field_name(view.name, name) for name in view.features]
        for keys in self._scan(view):
            gone = [key for key in keys if key not in wanted]
            moments = self._ask([(b"HGET", key, field) for key in gone])
            gone = [
                key
                for key, moment in zip(gone, moments, strict=True)
                if moment is not None and last is not None and decode_moment(moment) <= last
            ]
            # Redis removes a hash without fields; fields of other views stay.
            self._ask([(b"HDEL", key, field, *ours) for key in gone])

    def _scan(self, view: OnlineView) -> Iterator[list[bytes]]:
        pattern = _escaped(key_prefix(list(view.entities))) + b"*" + _escaped(self._project)
        cursor = b"0"
        while True:
            [(cursor, keys)] = self._ask([(b"SCAN", cursor, b"MATCH", pattern, b"COUNT", b"%d" % SCANNED)])
            yield [key for key in keys if self._is_ours(key, len(view.entities))]
            if cursor == b"0":
                return

    def _is_ours(self, key: bytes, entities: int) -> bool:
        """Compare the whole project name: `my_shop` also ends with `shop`."""
        end = split_key(key, entities)
        return end is not None and key[end:] == self._project

    def _ask(self, commands: Sequence[Sequence[bytes]]) -> list[Any]:
        with self._translate_errors():
            self._send([_bulks(command) for command in commands])
            return self._receive(len(commands))

    def _send(self, packed: Iterable[bytes]) -> None:
        text = b"".join(packed)
        if text:
            self._open().send_packed_command([text])

    def _receive(self, count: int) -> list[Any]:
        """Receive `count` answers, all of them before the first error among them is raised.

        hiredis reads them from the client's socket: the client itself takes ten times as long.
        """
        wire, reader = self._open(), self._reader
        answers: list[Any] = []
        while len(answers) < count:
            answer = reader.gets()
            if answer is False:
                received = wire._sock.recv(RECEIVED)
                if not received:
                    raise ConnectionError("the server closed the connection")
                reader.feed(received)
            else:
                answers.append(answer)
        for answer in answers:
            if isinstance(answer, Exception):
                raise BridgeError("G562", f"{self._server} answered: {answer}")
        return answers

    def _open(self) -> Any:
        if self._wire is None:
            try:
                import hiredis
                import redis
            except ModuleNotFoundError as error:
                raise BridgeError(
                    "G531",
                    f"the Redis online store needs the Python package {error.name}",
                    hint="install gemel's extra `redis`: pip install 'feast[redis]'",
                ) from None
            self._reader = hiredis.Reader()
            try:
                client = redis.Redis(**self.store.options)
                wire: Any = client.connection_pool.make_connection()
            except (TypeError, ValueError) as error:
                raise BridgeError(
                    "G560", f"connection_string has an option that Redis does not have: {error}"
                ) from None
            wire.connect()
            self._wire = wire
        return self._wire

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._drop()
            raise self._error(error) from None
        except BridgeError:
            self._drop()  # answers may still be on the wire
            raise
        except Exception as error:
            if not type(error).__module__.startswith("redis."):
                raise
            self._drop()
            raise self._error(error) from None
        except BaseException:
            self._drop()  # Ctrl-C: answers may still be on the wire
            raise

    @property
    def _server(self) -> str:
        return f"the Redis server at {self.store.options['host']}:{self.store.options['port']}"

    def _drop(self) -> None:
        with suppress(Exception):
            self.close()
        self._wire = None

    def _error(self, error: Exception) -> BridgeError:
        return BridgeError(
            "G562",
            f"{self._server} failed: {' '.join(str(error).split())[:300]}",
            hint="is it running, and is connection_string in feature_store.yaml right?",
        )


def _row(features: Sequence[str], answer: Sequence[bytes | None]) -> StoredRow | None:
    """A row from its fields and its time; None if there is none."""
    *values, moment = answer
    if moment is None and not any(values):
        return None
    decoded = {name: decode_value(value or b"") for name, value in zip(features, values, strict=True)}
    return StoredRow(None if moment is None else decode_time(decode_moment(moment)), decoded)


def field_name(view: str, feature: str) -> bytes:
    """The four bytes under which Feast stores a feature: the murmur hash of `view:feature`."""
    import mmh3

    return struct.pack("<I", mmh3.hash(f"{view}:{feature}", signed=False))


def _time_field(view: str) -> bytes:
    return b"_ts:" + view.encode()


def _writes(view: OnlineView, batch: Batch, keys: Sequence[bytes], ttl: int | None) -> list[bytes]:
    """A packed HSET for each entity row; with a lifetime, followed by an EXPIRE.

    The bytes that all rows share are packed once: the end of a word, the next field, and the head of its value.
    """
    head = b"*%d\r\n$4\r\nHSET\r\n" % (2 * len(view.features) + 4)
    pieces: list[Iterable[bytes]] = [repeat(head), *_with_lengths(keys)]
    pieces.append(encode_moments(batch.moments, _before(_time_field(view.name))))
    for name, type_ in view.features.items():
        pieces.append(encode_values(type_, batch.columns[name], _before(field_name(view.name, name))))
    pieces.append(repeat(b"\r\n"))
    if ttl:
        pieces.append(_bulks((b"EXPIRE", key, b"%d" % ttl)) for key in keys)
    return list(map(b"".join, zip(*pieces, strict=False)))  # repeat() has no end


def _before(field: bytes) -> Before:
    """The end of the previous word, the field, and the length of its value."""
    field = b"\r\n" + _bulk(field)
    return lambda size: b"%b$%d\r\n" % (field, size)


def _with_lengths(values: Sequence[bytes]) -> tuple[Iterable[bytes], Sequence[bytes]]:
    """The length of each value, as Redis's protocol has it before the value; and the values."""
    return map(_HEADS.__getitem__, map(len, values)), values


class _Heads(dict[int, bytes]):
    def __missing__(self, length: int) -> bytes:
        return b"$%d\r\n" % length


_HEADS = _Heads((length, b"$%d\r\n" % length) for length in range(1000))


def _bulks(words: Sequence[bytes]) -> bytes:
    """A command in Redis's protocol."""
    return b"*%d\r\n" % len(words) + b"".join(map(_bulk, words))


def _bulk(word: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(word), word)


def _escaped(text: bytes) -> bytes:
    """The text escaped for a Redis pattern."""
    return b"".join(b"\\" + bytes((byte,)) if byte in b"*?[]\\^-" else bytes((byte,)) for byte in text)
