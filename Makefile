# `make` alone lists these commands. Each is one line; whatever takes more is a script in scripts/.
.DEFAULT_GOAL := help
.PHONY: help up down logs dev shell psql doctor backup restore backup-drill deploy deploy-rehearsal stack-deploy \
  swarm-drill scaffold rename run test test-clients fuzz drill soak coverage bench bench-scale bench-memory \
  heroku-rehearsal pgbouncer-rehearsal lint format audit sbom docs migration lock upgrade

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-20s %s\n", $$1, $$2}' Makefile

up: ## build and start the stack in containers, and wait until it answers
	@scripts/need-docker "make up" && docker compose up --build --wait && echo "The API answers on http://$$(docker compose port api 5000)"

down: ## stop the stack; data and secrets stay (docker compose down -v deletes them)
	@scripts/need-docker "make down" && docker compose down

logs: ## follow the stack's logs
	@scripts/need-docker "make logs" && docker compose logs --follow --tail 100

dev: ## the stack with the code of this folder, served anew at each change (DEBUGPY=1 make dev: with a debugger)
	@scripts/dev

shell: ## open a shell in the api container: flask shell, flask user list, ...
	@scripts/need-docker "make shell" && docker compose exec api bash

psql: ## open psql in the stack's database
	@scripts/need-docker "make psql" && docker compose exec db bash -c 'exec psql -v HISTFILE=/tmp/psql_history -U "$$POSTGRES_USER" "$$POSTGRES_DB"'

doctor: ## find what is wrong with Docker, ports, files, settings and migrations, and tell how to mend it
	@bash -c "$$(tr -d '\r' <scripts/doctor)" scripts/doctor

backup: ## write the database to backups/ and keep the newest 7 (BACKUP_KEEP=30 make backup: more)
	@scripts/backup

restore: ## put a backup in the database's place: make restore FILE=backups/... (REPLACE=1: over rows)
	@scripts/restore "$(FILE)"

backup-drill: ## restore a backup of the running stack in a throwaway stack, and try what comes of it
	@proof/scripts/backup-drill

deploy: ## on a server: put this version, or IMAGE, in the place of the running one (README, "One server")
	@scripts/deploy

deploy-rehearsal: ## start such a server in throwaway containers, send it the worst, and deploy to it under load
	@proof/scripts/deploy-rehearsal

stack-deploy: ## deploy to many servers (Docker Swarm), or update them: IMAGE=registry/name:tag make stack-deploy
	@scripts/stack-deploy

swarm-drill: ## update, drain and kill a swarm of three nodes in containers, under load (takes minutes)
	@proof/scripts/swarm-drill

scaffold: ## how to make a resource of your own: scripts/flask scaffold book 'title:str(200)' 'price:decimal(10,2)'
	@scripts/flask scaffold --help

rename: ## give the project your name: make rename NAME=book-shop
	@scripts/rename "$(NAME)"

run: ## serve without Docker, on SQLite (API_PORT=5001 make run: on another port)
	@scripts/run

test: ## run all tests in throwaway containers, or one part: make test t=tests/unit
	@scripts/test $(t)

test-clients: ## let a browser and other clients use the running API, in throwaway containers
	@proof/scripts/test-clients $(t)

fuzz: ## ask the API what nobody thought of, for some minutes
	@FUZZ_EXAMPLES=$${FUZZ_EXAMPLES:-300} scripts/test tests/integration/test_fuzz.py \
		tests/integration/test_properties.py tests/integration/test_hostile_json.py tests/unit/test_strict_json_properties.py

drill: ## kill, freeze, cut, fill and starve a throwaway stack under load: make drill t=drill_stop.py
	@proof/scripts/drill $(t)

soak: ## keep a throwaway stack under load: make soak rate=170 minutes=30
	@proof/scripts/soak $(or $(rate),170) $(or $(minutes),30)

coverage: ## run the tests on PostgreSQL, show what they do not reach, fail under 95 %
	@scripts/test --coverage

bench: ## measure what a request costs beside the least it can cost (in minutes), to proof/bench/results/
	@proof/scripts/bench

bench-scale: ## measure what a million users cost beside a thousand
	@proof/scripts/bench scale

bench-memory: ## measure the memory after 100,000 requests and after 200,000
	@proof/scripts/bench memory

heroku-rehearsal: ## build and run what is committed as Heroku does, against a database with TLS
	@proof/scripts/heroku-rehearsal

pgbouncer-rehearsal: ## serve through PgBouncer with transaction pooling, in throwaway containers
	@proof/scripts/pgbouncer-rehearsal

lint: ## check format, rules, types, Dockerfiles, shell scripts, Compose files and written documents
	@scripts/lint

format: ## format the code, and repair what the rules can
	@scripts/format

audit: ## look for known vulnerabilities in what is locked, and for unsafe code
	@scripts/audit

sbom: ## write the bill of materials of the locked packages to sbom.json (CycloneDX)
	@scripts/sbom

docs: ## write the OpenAPI document, the Postman collection and the .http files to postman/
	@scripts/docs

migration: ## write a migration from a change of the models: make migration m="what it does"
	@scripts/migration "$(m)"

lock: ## write the locks after a change of pyproject.toml
	@scripts/lock

upgrade: ## lock the newest versions that pyproject.toml admits
	@scripts/lock --upgrade
