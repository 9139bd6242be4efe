# `make` alone lists these commands. Each is one line; longer ones are scripts in scripts/.
.DEFAULT_GOAL := help
.PHONY: help up down dev run shell psql doctor migration docs lock test lint format audit backup restore deploy

help:
	@awk -F ':.*## ' '/^##@ / {print "\n" substr($$0, 5)} /^#: / {print "  " substr($$0, 4)} \
		/^[a-z-]+:.*## / {printf "  %-22s %s\n", "make " $$1, $$2}' Makefile

##@ Run

up: ## build and start the stack in containers, and wait until it is healthy
	@scripts/need-docker "make up" && docker compose up --build --wait && echo "The API answers on http://$$(docker compose port api 5000)"

down: ## stop the stack and keep its data (docker compose down -v deletes it)
	@scripts/need-docker "make down" && docker compose down

dev: ## run the stack with the code of this folder, and restart it after each change (DEBUGPY=1: with a debugger)
	@scripts/dev

run: ## run the API without Docker, on SQLite (API_PORT=5001: on another port)
	@scripts/run

shell: ## open a shell in the api container, for flask shell, flask user list, ...
	@scripts/need-docker "make shell" && docker compose exec api bash

psql: ## open psql in the stack's database
	@scripts/need-docker "make psql" && docker compose exec db bash -c 'exec psql -v HISTFILE=/tmp/psql_history -U "$$POSTGRES_USER" "$$POSTGRES_DB"'

doctor: ## find problems with Docker, ports, files, settings and migrations, and explain how to fix them
	@bash -c "$$(tr -d '\r' <scripts/doctor)" scripts/doctor

##@ Change

#: scripts/flask scaffold generate a resource: scripts/flask scaffold book 'title:str(200)' 'price:decimal(10,2)'
#: scripts/rename NAME    give the project your own name: scripts/rename book-shop

migration: ## write a migration after a change of the models: make migration m="what it does"
	@scripts/migration "$(m)"

docs: ## write the OpenAPI document, the Postman collection, the .http files and the table of settings
	@scripts/docs

lock: ## lock the dependencies in pyproject.toml (UPGRADE=1: to their newest versions)
	@scripts/lock $(if $(UPGRADE),--upgrade)

##@ Check

test: ## run all tests in throwaway containers, or one part: make test t=tests/unit (COVERAGE=1: with coverage)
	@scripts/test $(t)

lint: ## check format, rules, types, Dockerfiles, shell scripts, Compose files and generated documents
	@scripts/lint

format: ## format the code and fix what the linter can fix
	@scripts/format

audit: ## look for vulnerable packages and unsafe code, and write the bill of materials to sbom.json
	@scripts/audit

##@ Ship

backup: ## back up the database to backups/, and keep the newest 7 (BACKUP_KEEP=30: more)
	@scripts/backup

restore: ## replace the database with a backup: make restore FILE=backups/... (REPLACE=1: even if it holds rows)
	@scripts/restore "$(FILE)"

deploy: ## on a server: replace the running version with this one, or with IMAGE, without downtime
	@scripts/deploy

#: scripts/stack-deploy   deploy to several servers, with Docker Swarm

##@ Prove

#: make -C proof          list the benchmarks, drills and rehearsals of the maintainers
