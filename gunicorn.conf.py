"""What `gunicorn crm.wsgi` reads when it is started here, besides its command line."""

# Scripts written for Close ask with hundreds of ids in the address. The longest that gunicorn takes; longer ones are tunnelled
# through POST (`X-HTTP-Method-Override: GET`).
limit_request_line = 8190
