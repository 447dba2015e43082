from voice_app.cli.main import main

if __name__ == "__main__":  # a worker process imports this, too
    main()
