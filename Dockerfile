# syntax=docker/dockerfile:1
# One image for all services; docker-compose.yml has the command of each.
FROM python:3.13-slim AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/venv
# What not everybody needs: --build-arg EXTRAS="parquet tracing"
ARG EXTRAS=""
COPY requirements/*.txt /tmp/requirements/
RUN for name in base $EXTRAS; do \
        /opt/venv/bin/pip install --require-hashes --requirement /tmp/requirements/$name.txt || exit 1; \
    done

FROM python:3.13-slim
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    VAR_DIR=/app/var
RUN groupadd --gid 10001 console && useradd --uid 10001 --gid console --no-create-home --shell /usr/sbin/nologin console
COPY --from=build /opt/venv /opt/venv
WORKDIR /app
COPY . .
# The static files are part of the image, so that the container needs no writable directory. The two keys
# are only for this command; the real ones come from the environment at run time.
RUN SECRET_KEY=only-for-building-the-static-files FIELD_ENCRYPTION_KEY=only-for-building-the-static-files python manage.py collectstatic --noinput --verbosity 0 \
    && python -m compileall -q accounts adminkit alerts api audit console database maintenance scraping
USER console
EXPOSE 8000
STOPSIGNAL SIGTERM
CMD ["gunicorn", "console.wsgi:application", "--bind", "0.0.0.0:8000", "--worker-class", "console.web_worker.DrainingThreadWorker", "--workers", "2", "--threads", "4", "--graceful-timeout", "10", "--access-logfile", "-", "--access-logformat", "%(h)s \"%(m)s %(U)s\" %(s)s %(B)s %(M)s %({x-request-id}o)s", "--no-control-socket"]
