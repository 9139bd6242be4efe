# `make` lists these commands. Each is one line; longer ones are scripts in scripts/.
.DEFAULT_GOAL := help
.PHONY: help up down dev run shell psql doctor migration seed client client-python docs lock update-from-template without test lint format audit backup restore deploy

help:
	@awk -F ':.*## ' '/^##@ / {print "\n" substr($$0, 5)} /^#: / {print "  " substr($$0, 4)} \
		/^[a-z-]+:.*## / {printf "  %-23s %s\n", "make " $$1, $$2}' Makefile

##@ Run

up: ## build and start the stack, and wait until it is healthy
	@scripts/need-docker "make up" && docker compose up --build --wait && echo "The API answers on http://$$(docker compose port api 5000)"

down: ## stop the stack and keep its data
	@scripts/need-docker "make down" && docker compose down

dev: ## run the stack and restart it when the code changes (DEBUGPY=1: accept a debugger)
	@scripts/dev

run: ## run the API without Docker, on SQLite (API_PORT=5001: use another port)
	@scripts/run

shell: ## open a shell in the api container, for commands such as flask user list
	@scripts/need-docker "make shell" && docker compose exec api bash

psql: ## open psql on the stack's database
	@scripts/need-docker "make psql" && docker compose exec db bash -c 'exec psql -v HISTFILE=/tmp/psql_history -U "$$POSTGRES_USER" "$$POSTGRES_DB"'

doctor: ## diagnose the setup and suggest fixes
	@bash -c "$$(tr -d '\r' <scripts/doctor)" scripts/doctor

##@ Change

#: scripts/flask scaffold  generate a resource, such as: scripts/flask scaffold book 'title:str(200)'
#: scripts/rename NAME     rename the project, such as: scripts/rename book-shop

migration: ## generate a migration from changed models: make migration m="add a nickname"
	@scripts/migration "$(m)"

seed: ## fill the development database with accounts and rows: make seed n=50
	@scripts/seed $(n)

client: ## write a typed TypeScript client (needs Node.js): make client to=clients/typescript
	@scripts/client $(to)

client-python: ## write a typed Python client: make client-python to=clients/python
	@scripts/client-python $(to)

docs: ## generate the OpenAPI document, client files and table of settings
	@scripts/docs

lock: ## lock the dependencies of pyproject.toml (UPGRADE=1: upgrade them)
	@scripts/lock $(if $(UPGRADE),--upgrade)

update-from-template: ## take later versions of the template (TEMPLATE=..., VERSION=v1.2.0)
	@scripts/update-from-template

without: ## remove parts: make without parts="heroku swarm"; without parts, list them
	@scripts/without $(parts)

##@ Check

test: ## run the tests in throwaway containers: make test t=tests/unit (COVERAGE=1: report coverage)
	@scripts/test $(t)

lint: ## check formatting, types, scripts, containers, workflows and generated files
	@scripts/lint

format: ## format the code and fix lint findings
	@scripts/format

audit: ## scan for vulnerable packages and unsafe code, and write an SBOM to sbom.json
	@scripts/audit

##@ Ship

backup: ## back up the database to backups/ (BACKUP_KEEP=30: keep 30 backups instead of 7)
	@scripts/backup

restore: ## restore a backup: make restore FILE=backups/... (REPLACE=1: overwrite existing data)
	@scripts/restore "$(FILE)"

deploy: ## deploy this version on a server without downtime (IMAGE=...: use an existing image)
	@scripts/deploy

# part: swarm
#: scripts/stack-deploy    deploy to several servers with Docker Swarm
# end of part
#: scripts/check-release   check that a release tag matches the code and the changelog

# part: proof
##@ Benchmarks and drills

#: make -C proof           list the benchmarks, failure drills and rehearsals
# end of part
