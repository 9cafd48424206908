"""One check of the server with the official client: client.py CHECK ADDRESS."""

import asyncio
import base64
import json
import sys
import threading
import urllib.request

import openai

CHECK, ADDRESS = sys.argv[1:]


def client(**options):
    return openai.OpenAI(**{"base_url": ADDRESS, "api_key": "key", "max_retries": 0, "timeout": 120, **options})


def asynchronous(**options):
    return openai.AsyncOpenAI(base_url=ADDRESS, api_key="key", max_retries=0, timeout=120, **options)


def png(rgb, side=2):
    """A picture of one colour."""
    import struct
    import zlib

    def chunk(kind, data):
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    rows = (b"\0" + bytes(rgb) * side) * side
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def size(bytes_):
    """Width and height in a PNG file."""
    assert bytes_[:8] == b"\x89PNG\r\n\x1a\n", bytes_[:8]
    return int.from_bytes(bytes_[16:20], "big"), int.from_bytes(bytes_[20:24], "big")


def health():
    with urllib.request.urlopen(ADDRESS + "/health") as reply:
        return json.load(reply)["images"]


def until(is_so):
    while not is_so(now := health()):
        pass
    return now


def draws():
    images = client().images
    reply = images.generate(prompt="a quetzal at dawn", size="48x32", extra_body={"seed": 7})
    assert size(base64.b64decode(reply.data[0].b64_json)) == (48, 32)
    assert reply.size == "48x32" and reply.output_format == "png" and reply.usage.total_tokens == 0
    assert "a quetzal on a branch" in reply.data[0].revised_prompt
    trace = json.load(urllib.request.urlopen(reply.trace))
    assert trace["prompt"] == "a quetzal at dawn" and trace["seed"] == 7
    raw = images.with_raw_response.generate(prompt="a quetzal")
    assert raw.headers["x-imagerag-trace"] == raw.parse().trace
    # Several, and the same seed again.
    several = images.generate(prompt="a quetzal at dawn", size="48x32", n=3, extra_body={"seed": 7})
    assert len({one.b64_json for one in several.data}) == 3
    assert several.data[0].b64_json == reply.data[0].b64_json
    # By address, in each format.
    for name, start in [("png", b"\x89PNG"), ("jpeg", b"\xff\xd8"), ("webp", b"RIFF")]:
        reply = images.generate(prompt="a", response_format="url", output_format=name)
        assert reply.data[0].b64_json is None
        assert urllib.request.urlopen(reply.data[0].url).read().startswith(start)
    # Without the loop.
    draft = images.generate(prompt="a quetzal at dawn", model="imagerag-draft", quality="high", user="me")
    assert draft.data[0].revised_prompt is None


def edits():
    images, red, blue = client().images, png([200, 0, 0]), png([0, 0, 200])
    more = {"prompt": "a cat", "model": "imagerag-draft", "extra_body": {"seed": 7}}

    def edit(*pictures):
        return images.edit(image=list(pictures), **more).data[0].b64_json

    both = edit(("a.png", red), ("b.png", blue))
    assert both == edit(("a.png", red), ("b.png", blue)) != edit(("b.png", blue), ("a.png", red))
    assert images.edit(image=("a.png", red), **more).data[0].b64_json not in (both, None)
    loop = images.edit(image=red, prompt="<|image_1|> beside a bird", size="16x16", n=2)
    assert len(loop.data) == 2 and "image_1" in loop.data[0].revised_prompt
    for stream in images.edit(image=red, prompt="a cat", stream=True, partial_images=1):
        last = stream
    assert last.type == "image_edit.completed" and last.usage.total_tokens == 0
    try:
        images.edit(image=red, mask=blue, prompt="a cat")
    except openai.BadRequestError as error:
        assert error.param == "mask" and "mask" in error.message
    else:
        raise AssertionError("a mask was taken")


def streams():
    images = client().images
    more = {"prompt": "a quetzal at dawn", "size": "16x16", "extra_body": {"seed": 7}}
    whole = images.generate(**more).data[0].b64_json
    for most in range(4):
        events = list(images.generate(stream=True, partial_images=most, **more))
        types = ["image_generation.partial_image"] * most + ["image_generation.completed"]
        assert [event.type for event in events] == types, events
        assert [event.partial_image_index for event in events[:-1]] == list(range(most))
        assert size(base64.b64decode(events[0].b64_json)) == (16, 16)
        assert events[-1].b64_json == whole and events[-1].size == "16x16"
    try:
        list(images.generate(prompt="[refuse]", stream=True))
    except openai.APIError as error:
        assert error.code == "moderation_blocked", error
    else:
        raise AssertionError("a refusal passed")


def embeds():
    asked = client()
    assert [model.id for model in asked.models.list()][:2] == ["imagerag", "imagerag-draft"]
    assert asked.models.retrieve("imagerag-embed").object == "model"
    # The client asks for base64 unless it is told otherwise.
    reply = asked.embeddings.create(model="imagerag-embed", input=["red", "blue"])
    same = asked.embeddings.create(model="imagerag-embed", input="blue", encoding_format="float")
    assert len(reply.data) == 2 and len(reply.data[0].embedding) == 3
    assert reply.data[1].embedding == same.data[0].embedding != reply.data[0].embedding


def errors():
    asked = client()
    cases = [
        (openai.BadRequestError, 400, "invalid_value", lambda: asked.images.generate(prompt="a", size="big")),
        (openai.BadRequestError, 400, "moderation_blocked", lambda: asked.images.generate(prompt="[refuse]")),
        (openai.NotFoundError, 404, "model_not_found", lambda: asked.images.generate(prompt="a", model="gpt-image-1")),
        (openai.NotFoundError, 404, "model_not_found", lambda: asked.models.retrieve("gpt-image-1")),
        (openai.AuthenticationError, 401, "invalid_api_key", lambda: client(api_key="other").models.list()),
        (openai.InternalServerError, 500, None, lambda: asked.images.generate(prompt="[fail]")),
        (openai.InternalServerError, 500, None, lambda: asked.images.generate(prompt="[panic]")),
    ]
    for kind, status, code, call in cases:
        try:
            call()
        except openai.APIStatusError as error:
            assert type(error) is kind and error.status_code == status and error.code == code, error
            assert error.message and error.body["message"], error
        else:
            raise AssertionError(f"{kind} was not raised")


def cancels():
    async def leave(stream):
        async with asynchronous() as asked:
            call = asyncio.create_task(asked.images.generate(prompt="[hold]", stream=stream))
            while health()["running"] == 0:
                await asyncio.sleep(0)
            if stream:
                await (await call).close()
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)

    for count, stream in enumerate([False, True], 1):
        asyncio.run(leave(stream))
        now = until(lambda now: now["cancelled"] == count)
        assert now["running"] == now["waiting"] == 0
    client().images.generate(prompt="a quetzal")


def concurrently():
    async def all_at_once():
        async with asynchronous() as asked:
            call = lambda n: asked.images.generate(prompt=f"a quetzal {n}", extra_body={"seed": n})
            return await asyncio.gather(*[call(n) for n in range(20)])

    replies = asyncio.run(all_at_once())
    for n, reply in enumerate(replies):
        assert f"a quetzal {n}" in reply.data[0].revised_prompt and reply.data[0].seed == n
    assert health()["done"] == 20


def queue():
    def hold():
        try:
            client().images.generate(prompt="[hold]")
        except openai.APIError:
            pass  # The server has ended.

    threading.Thread(target=hold, daemon=True).start()
    until(lambda now: now["running"] == 1)
    try:
        client().images.generate(prompt="a quetzal")
    except openai.RateLimitError as error:
        assert error.code == "rate_limit_exceeded" and error.response.headers["retry-after"] == "1"
    else:
        raise AssertionError("there was a place")


{
    check.__name__: check
    for check in [draws, edits, streams, embeds, errors, cancels, concurrently, queue]
}[CHECK]()
print(f"{CHECK}: good")
