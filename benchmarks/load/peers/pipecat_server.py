"""A voice-agent server made of Pipecat, as its documents show it, for Twilio's media streams.

    benchmarks/environments/pipecat/bin/python benchmarks/load/peers/pipecat_server.py 9100 tuned

The first argument is the port of the vendors. `tuned`: turns end 200 ms after the voice, by time alone;
`default`: as Pipecat decides, which is a turn model (Smart Turn) over the audio. Runs in an environment of
its own, so nothing of ours is imported.
"""

import json
import logging
import socket
import sys

import uvicorn
from fastapi import FastAPI, WebSocket
from loguru import logger
from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.audio.vad.vad_analyzer import VADParams
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import (
    LLMContextAggregatorPair,
    LLMUserAggregatorParams,
)
from pipecat.serializers.twilio import TwilioFrameSerializer
from pipecat.services.cartesia.tts import CartesiaTTSService
from pipecat.services.deepgram.stt import DeepgramSTTService
from pipecat.services.openai.llm import OpenAILLMService
from pipecat.transports.websocket.fastapi import FastAPIWebsocketParams, FastAPIWebsocketTransport
from pipecat.turns.user_stop import SpeechTimeoutUserTurnStopStrategy
from pipecat.turns.user_turn_strategies import UserTurnStrategies
from pipecat.workers.runner import WorkerRunner

PROMPT = [{"role": "system", "content": "You answer callers of a restaurant."}]


def user_params(kind: str) -> LLMUserAggregatorParams:
    """How turns are taken."""
    if kind == "default":
        return LLMUserAggregatorParams(vad_analyzer=SileroVADAnalyzer())
    return LLMUserAggregatorParams(
        vad_analyzer=SileroVADAnalyzer(params=VADParams(stop_secs=0.2)),
        user_turn_strategies=UserTurnStrategies(
            stop=[SpeechTimeoutUserTurnStopStrategy(user_speech_timeout=0.2)]
        ),
    )


async def hold_call(websocket: WebSocket, vendors: int, kind: str) -> None:
    """One call, from its first message to its end."""
    await websocket.accept()
    while (message := json.loads(await websocket.receive_text()))["event"] != "start":
        pass
    serializer = TwilioFrameSerializer(
        message["start"]["streamSid"], params=TwilioFrameSerializer.InputParams(auto_hang_up=False)
    )
    transport = FastAPIWebsocketTransport(
        websocket,
        FastAPIWebsocketParams(audio_in_enabled=True, audio_out_enabled=True, serializer=serializer),
    )
    place = f"127.0.0.1:{vendors}"
    stt = DeepgramSTTService(api_key="simulated", base_url=f"ws://{place}")
    llm = OpenAILLMService(
        api_key="simulated",
        base_url=f"http://{place}/v1",
        settings=OpenAILLMService.Settings(model="gpt-simulated"),
    )
    tts = CartesiaTTSService(
        api_key="simulated",
        url=f"ws://{place}/tts/websocket",
        settings=CartesiaTTSService.Settings(voice="simulated"),
    )
    pair = LLMContextAggregatorPair(LLMContext(list(PROMPT)), user_params=user_params(kind))
    worker = PipelineWorker(
        Pipeline([transport.input(), stt, pair.user(), llm, tts, transport.output(), pair.assistant()]),
        params=PipelineParams(audio_in_sample_rate=8000, audio_out_sample_rate=8000),
        idle_timeout_secs=None,
        enable_rtvi=False,
    )

    @transport.event_handler("on_client_disconnected")
    async def leave(_transport: object, _client: object) -> None:
        await worker.cancel()

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    await runner.run()


async def main(vendors: int, kind: str) -> None:
    """Serve until the process is ended. Prints the port."""
    logger.remove()
    logger.add(sys.stderr, level="ERROR")
    logging.basicConfig(level=logging.ERROR)
    app = FastAPI()

    @app.websocket("/media")
    async def media(websocket: WebSocket) -> None:
        await hold_call(websocket, vendors, kind)

    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    config = uvicorn.Config(app, log_level="error", lifespan="off", ws_per_message_deflate=False)
    # Connections wait in the listener's queue until uvicorn has started.
    print(f"pipecat at {listener.getsockname()[1]}", flush=True)
    await uvicorn.Server(config).serve(sockets=[listener])


if __name__ == "__main__":
    import uvloop

    uvloop.run(main(int(sys.argv[1]), sys.argv[2]))
