# A fake Ollama for programs in any language. docs/serve.md says how to use it.
FROM python:3.13-slim AS build
WORKDIR /project
COPY pyproject.toml README.md LICENSE ./
COPY harness harness
COPY fixtures fixtures
RUN pip wheel --no-cache-dir --wheel-dir /wheels .

FROM python:3.13-slim
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    pip install --no-cache-dir --no-index --find-links /wheels ollama-harness && useradd harness
USER harness
EXPOSE 11434
# The control API answers other machines only with this token. Set another one where others can reach the port.
ENV OLLAMA_HARNESS_CONTROL_TOKEN=ollama-harness
HEALTHCHECK --interval=1s --timeout=2s --retries=30 CMD ["python", "-c", "\
import os, urllib.request as u; \
token = {'Authorization': 'Bearer ' + os.environ['OLLAMA_HARNESS_CONTROL_TOKEN']}; \
u.urlopen(u.Request('http://127.0.0.1:11434/_harness/health', headers=token))"]
ENTRYPOINT ["ollama-harness", "serve", "--host", "0.0.0.0", "--port", "11434"]
CMD ["--any-model"]
